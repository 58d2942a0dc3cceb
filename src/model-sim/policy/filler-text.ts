import { scramble } from './text-hash.ts';

/**
 * The text of a simulated answer. Token `i` of it depends on the seed and on `i` alone, so a longer answer begins with
 * every shorter one, and a cut answer can be checked byte for byte. The first tokens say what it is.
 * No token holds a character that JSON escapes.
 */
const PREAMBLE = ['Simulated', ' text', ' from', ' pilotlight', ' model-sim'] as const;
/** A full stop after so many tokens, about the length of an English sentence. */
const SENTENCE_TOKENS = 14;

const WORDS = (
  'ticket customer order invoice refund account login password email address phone delivery parcel courier return ' +
  'warranty screen battery cable printer router network outage update install version error message button menu page ' +
  'report summary request answer agent team manager week month today tomorrow morning evening price discount payment ' +
  'card bank receipt contract plan upgrade storage backup folder file photo document signature travel booking'
).split(' ');

/** Tokens [from, to) of the answer to the request whose seed (unsigned 32-bit) this is. */
export function fillerText(seed: number, from: number, to: number): string {
  let text = '';
  for (let index = from; index < to; index += 1) text += fillerToken(seed, index);
  return text;
}

function fillerToken(seed: number, index: number): string {
  const preamble = PREAMBLE[index];
  if (preamble !== undefined) return preamble;
  if (index === PREAMBLE.length) return ` ${(seed >>> 0).toString(16).padStart(8, '0')}:`;
  if (index % SENTENCE_TOKENS === 0) return '.';
  const draw = scramble(seed ^ Math.imul(index, 0x9e3779b9)) >>> 0;
  return ` ${WORDS[draw % WORDS.length] ?? ''}`;
}
