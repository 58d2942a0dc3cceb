import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isScalar, parseAllDocuments } from 'yaml';

/** Name of a template → its text: each file of infra/crds, kept when the release goes, left out without crds.install. */
export function crdTemplates(folder) {
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
  return Object.fromEntries(
    files.sort().map((file) => [file, template(readFileSync(join(folder, file), 'utf8'), file)]),
  );
}

function template(text, file) {
  const documents = parseAllDocuments(text).filter((document) => document.contents !== null);
  const bodies = documents.map((document) => {
    if (document.errors.length > 0 || document.get('kind') !== 'CustomResourceDefinition') {
      throw new Error(`infra/crds/${file} holds something that is no CustomResourceDefinition`);
    }
    document.commentBefore = null;
    const first = document.contents.items[0]?.key;
    if (isScalar(first)) first.commentBefore = null;
    if (isMap(document.contents)) document.contents.commentBefore = null;
    document.setIn(['metadata', 'annotations', 'helm.sh/resource-policy'], 'keep');
    // Text like "{{port}}" in a description is no template.
    return document.toString({ lineWidth: 0, directives: false }).replaceAll('{{', '{{ "{{" }}');
  });
  const head = `{{- /* From infra/crds/${file} by scripts/write-chart.mjs. */ -}}\n{{- if .Values.crds.install }}\n`;
  return `${head}${bodies.join('---\n')}{{- end }}\n`;
}
