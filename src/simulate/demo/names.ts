/** Names of the demo's objects, in its YAML and in what it shows. */
export const MODEL = 'tickets';
export const POOL = 'tickets';

export const OBJECTIVES = {
  interactive: { name: 'interactive', priority: 100 },
  nightly: { name: 'nightly', priority: -10 },
} as const;

/** Callers: who chats, and who runs the nightly batch. */
export const TENANTS = { chats: 'help-desk', rows: 'data-team' } as const;

/** Marks every process of one run, so that the demo can tell whether one was left behind. */
export const RUN_VARIABLE = 'PILOTLIGHT_DEMO_RUN';
