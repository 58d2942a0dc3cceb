/**
 * JSON that a message may carry: characters that XML 1.0 has not, which SQS refuses, become escapes. In JSON they can only
 * stand inside strings (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
 */
export function sendableJson(json: string): string {
  return json.toWellFormed().replaceAll(/[\uFFFE\uFFFF]/g, escaped);
}

function escaped(sign: string): string {
  return `\\u${sign.charCodeAt(0).toString(16)}`;
}

/** Text as the value of an attribute: without what XML has not, shortened; null when nothing is left. */
export function attributeText(text: string, maxCharacters: number): string | null {
  const legal = text.toWellFormed().replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, '');
  // toWellFormed again: the cut may go through a pair.
  const cut = legal.slice(0, maxCharacters).toWellFormed();
  return cut === '' ? null : cut;
}
