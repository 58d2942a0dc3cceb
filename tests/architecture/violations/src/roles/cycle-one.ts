export type { Two } from './cycle-two.ts';
export type One = 1;
