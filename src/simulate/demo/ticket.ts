import type { Random } from '../../core/random.ts';
import { seededRandom } from '../../core/random.ts';

/** A made-up support ticket. */
export interface Ticket {
  /** "T-100042"; part of the text, so no two tickets read alike. */
  readonly number: string;
  readonly subject: string;
  readonly text: string;
}

const FIRST_NUMBER = 100_000;
/** Keeps the draws of neighbouring tickets apart (an odd constant near 2^32 / golden ratio). */
const SEED_STEP = 0x9e3779b1;

type Words = Readonly<Record<string, readonly string[]>>;

const WORDS: Words = {
  customer: ['Amira Haddad', 'Jonas Weber', 'Priya Nair', 'Tom Ashdown', 'Lucia Ferrero', 'Kenji Mori', 'Olga Brandt'],
  agent: ['Sam', 'Noor', 'Ellen', 'Viktor', 'Maya'],
  product: ['Aster 14 laptop', 'Borealis router', 'Cobalt headset', 'Delta printer', 'Ember thermostat', 'Flux camera'],
  plan: ['Starter', 'Family', 'Business', 'Business Plus'],
  city: ['Porto', 'Leeds', 'Graz', 'Tampere', 'Lyon', 'Gdańsk', 'Utrecht'],
  day: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'],
  part: ['power supply', 'display', 'battery', 'charging cable', 'left hinge', 'network card'],
  fault: [
    'does not switch on',
    'restarts every few minutes',
    'loses the connection in the evening',
    'shows a blank screen after the update',
    'makes a clicking noise',
    'arrived with a cracked case',
  ],
  place: ['the kitchen', 'our front office', 'a hotel room', 'the warehouse', 'my home office'],
  channel: ['the app', 'the web shop', 'a phone call', 'the chat', 'the store in town'],
};

const SUBJECTS = [
  '{product} {fault}',
  'Refund for order {order}',
  'Invoice {order} was charged twice',
  'Cannot log in since {day}',
  'Parcel {order} has not arrived',
  'Change from {plan} to another plan',
];

const SENTENCES = [
  'I bought the {product} through {channel} on {day} and it {fault}.',
  'I have used it in {place} for {count} weeks without any trouble before this.',
  'The order number is {order} and the amount was {amount} euros.',
  'Your courier said that the parcel had reached {city}, but nobody here has seen it.',
  'I have already restarted it {count} times and followed the steps in the help article.',
  'The light next to the {part} blinks {count} times and then stays off.',
  'My colleague has the same model and hers works with the same {part}.',
  'On the invoice I see {amount} euros, although the {plan} plan should cost less.',
  'When I try to log in, the page says that my password was changed on {day}, which I did not do.',
  'I called on {day} and was told that somebody would ring back within {count} hours.',
  'Please tell me whether the {part} can be replaced in {city} or has to be sent in.',
  'I would prefer a replacement, but a refund of {amount} euros is fine as well.',
  'I need it for work, so every day without it costs me about {amount} euros.',
  'The warranty card says {count} years and I have kept the receipt.',
  'Since the last update the settings for {place} are gone and I had to enter them again.',
  'I moved to {city} last month and my old address still appears in {channel}.',
];

const REPLIES = [
  'Thank you for writing in. I am sorry that the {product} {fault}.',
  'I have looked at order {order} and see a payment of {amount} euros from {day}.',
  'Could you send a photo of the {part} and of the label under it?',
  'I have asked our partner in {city} to trace the parcel and expect an answer by {day}.',
  'Your {plan} plan stays active while we look into this.',
  'As a next step please remove the {part}, wait {count} minutes and put it back.',
  'I have noted that you would like a replacement and passed it on to the returns team.',
];

/** "T-100042" */
export function ticketNumber(index: number): string {
  return `T-${FIRST_NUMBER + index}`;
}

/** The index of that ticket; null when the text is no ticket's number. */
export function ticketIndex(number: string): number | null {
  return /^T-[1-9]\d{5,8}$/.test(number) ? Number(number.slice(2)) - FIRST_NUMBER : null;
}

/** A paragraph is this many sentences, drawn evenly. */
const SENTENCES_IN_MESSAGE = { least: 2, most: 6 } as const;

/** Ticket `index` of the run with that seed, about `chars` characters long: always the same one. */
export function supportTicket(seed: number, index: number, chars: number): Ticket {
  const random = seededRandom((seed + Math.imul(index + 1, SEED_STEP)) >>> 0);
  const number = ticketNumber(index);
  const subject = filled(pick(SUBJECTS, random), random);
  const customer = pick(WORDS['customer'] ?? [], random);
  let text = `Ticket ${number}: ${subject}\n`;
  for (let turn = 0; text.length < chars; turn += 1) {
    const fromAgent = turn % 2 === 1;
    text += `\n${fromAgent ? `${pick(WORDS['agent'] ?? [], random)} (support)` : customer} wrote:\n`;
    text += message(fromAgent ? REPLIES : SENTENCES, chars - text.length, random);
  }
  return { number, subject, text: text.trimEnd() };
}

function message(templates: readonly string[], roomChars: number, random: Random): string {
  const { least, most } = SENTENCES_IN_MESSAGE;
  let sentences = least + Math.floor(random.next() * (most - least + 1));
  let text = '';
  while (sentences > 0 && text.length < roomChars) {
    text += `${filled(pick(templates, random), random)} `;
    sentences -= 1;
  }
  return `${text.trimEnd()}\n`;
}

function filled(template: string, random: Random): string {
  return template.replaceAll(/\{(\w+)\}/g, (_slot, name: string) => {
    if (name === 'order') return `${Math.floor(10_000_000 + random.next() * 90_000_000)}`;
    if (name === 'amount') return (5 + random.next() * 900).toFixed(2);
    if (name === 'count') return `${2 + Math.floor(random.next() * 9)}`;
    return pick(WORDS[name] ?? [], random);
  });
}

function pick(choices: readonly string[], random: Random): string {
  return choices[Math.floor(random.next() * choices.length)] ?? '';
}
