export const loop = 1;
