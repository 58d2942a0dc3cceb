export { loop } from '../clean.ts';
