import { scramble } from './text-hash.ts';

/** A unit vector that depends on the seed and the number of dimensions alone. */
export function simulatedEmbedding(seed: number, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  let squares = 0;
  for (let index = 0; index < dimensions; index += 1) {
    const value = (scramble(seed ^ Math.imul(index + 1, 0x9e3779b9)) >>> 0) / 2_147_483_648 - 1;
    vector[index] = value;
    squares += value * value;
  }
  const length = Math.sqrt(squares) || 1;
  return vector.map((value) => value / length);
}
