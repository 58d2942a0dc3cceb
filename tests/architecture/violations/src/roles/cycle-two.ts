export type { One } from './cycle-one.ts';
export type Two = 2;
