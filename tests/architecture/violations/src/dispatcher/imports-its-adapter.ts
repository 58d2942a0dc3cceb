export { adapter } from './adapters/clean.ts';
