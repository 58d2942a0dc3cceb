export { setting } from '../config/clean.ts';
