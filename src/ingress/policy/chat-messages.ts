import type { PilotlightError } from '../../core/errors.ts';
import { missing, wrongType, wrongValue } from './fields.ts';
import { isJsonObject } from './json-body.ts';

/** These may call tools instead of saying something. */
const MAY_LACK_CONTENT = new Set(['assistant', 'tool', 'function']);

/** What is wrong with a list of chat messages. Roles are any string: the model's chat template knows which exist. */
export function checkMessages(value: unknown, param: string): PilotlightError | undefined {
  if (value === undefined) return missing(param);
  if (!Array.isArray(value)) return wrongType(param, 'an array of messages', value);
  if (value.length === 0) return wrongValue(param, 'must have at least one message');
  for (const [index, message] of (value as readonly unknown[]).entries()) {
    const problem = checkMessage(message, `${param}[${index}]`);
    if (problem) return problem;
  }
  return undefined;
}

function checkMessage(message: unknown, param: string): PilotlightError | undefined {
  if (!isJsonObject(message)) return wrongType(param, 'an object', message);
  const { role, content } = message;
  if (role === undefined) return missing(`${param}.role`);
  if (typeof role !== 'string') return wrongType(`${param}.role`, 'a string', role);
  if (role === '') return wrongValue(`${param}.role`, 'must not be empty');
  if (typeof content === 'string') return undefined;
  if (content === undefined || content === null) {
    return MAY_LACK_CONTENT.has(role) ? undefined : missing(`${param}.content`);
  }
  if (!Array.isArray(content)) {
    return wrongType(`${param}.content`, 'a string or an array of content parts', content);
  }
  for (const [index, part] of (content as readonly unknown[]).entries()) {
    const problem = checkPart(part, `${param}.content[${index}]`);
    if (problem) return problem;
  }
  return undefined;
}

function checkPart(part: unknown, param: string): PilotlightError | undefined {
  if (typeof part === 'string') return undefined;
  if (!isJsonObject(part)) return wrongType(param, 'an object or a string', part);
  const { type, text } = part;
  if (type === undefined) return missing(`${param}.type`);
  if (typeof type !== 'string') return wrongType(`${param}.type`, 'a string', type);
  if (type !== 'text') return undefined;
  if (text === undefined) return missing(`${param}.text`);
  return typeof text === 'string' ? undefined : wrongType(`${param}.text`, 'a string', text);
}
