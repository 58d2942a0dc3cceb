export { loop } from '../queue/clean.ts';
