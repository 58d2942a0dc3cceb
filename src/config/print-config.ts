import { Document, isCollection, isScalar } from 'yaml';
import { configurationDocument, type EffectiveSetting } from './effective-settings.ts';

/** YAML that `-f` reads again, each value followed by a comment that says where it comes from. */
export function printYaml(settings: readonly EffectiveSetting[]): string {
  const document = new Document(configurationDocument(settings));
  for (const { path, source } of settings) {
    const node = document.getIn(['spec', ...path], true);
    const comment = ` ${source}`;
    if (isScalar(node)) node.comment = comment;
    else if (isCollection(node)) node.commentBefore = comment;
  }
  return document.toString({ lineWidth: 0 });
}

/** {configuration, sources}: the same document, and the source of each setting by its dotted path. */
export function printJson(settings: readonly EffectiveSetting[]): string {
  const sources = Object.fromEntries(settings.map(({ path, source }) => [path.join('.'), source]));
  return `${JSON.stringify({ configuration: configurationDocument(settings), sources }, null, 2)}\n`;
}
