import fc from 'fast-check';

/** One seed for every run, so that a change and not chance turns a property red. PILOTLIGHT_TEST_SEED explores others. */
fc.configureGlobal({ seed: Number(process.env.PILOTLIGHT_TEST_SEED ?? 20_261_122) });
