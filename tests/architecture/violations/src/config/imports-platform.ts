export { platform } from '../platform/clean.ts';
