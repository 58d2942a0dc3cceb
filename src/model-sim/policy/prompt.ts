import { EMPTY_HASH, type HashState, hashKey, hashText, hashTokenIds } from './text-hash.ts';

/**
 * The simulator's tokenizer: four UTF-16 units of text are one token, which is near the mean of English text under the
 * tokenizers of current models. A prompt may also be given as token ids; then each is one token.
 */
export const TEXT_UNITS_PER_TOKEN = 4;

export type Prompt =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[] };

export interface ChatTurn {
  readonly role: string;
  readonly text: string;
}

/** The prompt that a chat becomes; growing the chat by a turn only appends to it, so prefixes stay shared. */
export function renderChat(turns: readonly ChatTurn[]): Prompt {
  let text = '';
  for (const turn of turns) text += `<|${turn.role}|>${turn.text}\n`;
  return { kind: 'text', text: `${text}<|assistant|>` };
}

/** At least 1. */
export function promptTokens(prompt: Prompt): number {
  return Math.max(1, prompt.kind === 'text' ? Math.ceil(prompt.text.length / TEXT_UNITS_PER_TOKEN) : prompt.ids.length);
}

/** The hash of all of the prompt. */
export function hashPrompt(prompt: Prompt): HashState {
  return prompt.kind === 'text' ? hashText(EMPTY_HASH, prompt.text) : hashTokenIds(EMPTY_HASH, prompt.ids);
}

/**
 * One key for each full block of the prompt. A key covers everything before its block and the adapter, because an
 * adapter changes the keys and values of the same text. Linear in the prompt.
 */
export function blockHashes(prompt: Prompt, blockSizeTokens: number, adapter: string | null): number[] {
  const fullBlocks = Math.floor(promptTokens(prompt) / blockSizeTokens);
  const keys: number[] = [];
  let state = adapter === null ? EMPTY_HASH : hashText(EMPTY_HASH, adapter);
  for (let block = 0; block < fullBlocks; block += 1) {
    const start = block * blockSizeTokens;
    state =
      prompt.kind === 'text'
        ? hashText(state, prompt.text, start * TEXT_UNITS_PER_TOKEN, (start + blockSizeTokens) * TEXT_UNITS_PER_TOKEN)
        : hashTokenIds(state, prompt.ids, start, start + blockSizeTokens);
    keys.push(hashKey(state));
  }
  return keys;
}
