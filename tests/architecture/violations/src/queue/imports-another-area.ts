export { pick } from '../picker/clean.ts';
