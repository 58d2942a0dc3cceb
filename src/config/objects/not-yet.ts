import { formatPath } from '../problem.ts';

/** Parts of the object model that this version cannot act on. Refused, so that nobody relies on them in vain. */
const KEYS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ScalePolicy: {
    'spec.endpointUrl': 'a pool behind a URL is not supported by this version; use poolRef or pool, with targets',
    'spec.windows': 'windows are not supported by this version; remove them (minReplicas keeps replicas up all day)',
  },
  ObjectivePolicy: {
    'spec.windows': 'windows are not supported by this version; remove them and use Batched with maxWait',
  },
};

const KINDS: Readonly<Record<string, string>> = {
  EndpointPickerConfig: 'EndpointPickerConfig is not read here; use picker.plugins of the Configuration',
  List: 'lists are not read; write each item as a document of its own, separated by ---',
};

export function noteOnKey(kind: string, path: readonly PropertyKey[]): string | undefined {
  return KEYS[kind]?.[formatPath(path)];
}

export function noteOnKind(kind: string): string | undefined {
  return Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
}
