import type { Logger } from '../../src/core/logger.ts';

const quiet = (): void => undefined;

/** Takes every line and keeps none. */
export const silentLogger: Logger = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => silentLogger };
