// @ts-expect-error: there is no such file.
export { missing } from './missing.ts';
