import { defineConfig } from 'vitest/config';

const shared = {
  environment: 'node' as const,
  restoreMocks: true,
  setupFiles: ['tests/support/fast-check.setup.ts'],
  testTimeout: 30_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    projects: [
      { test: { ...shared, name: 'unit', include: ['tests/unit/**/*.test.ts', 'tests/architecture/*.test.ts'] } },
      {
        test: {
          ...shared,
          name: 'integration',
          include: ['tests/contract/**/*.test.ts', 'tests/integration/**/*.test.ts'],
          globalSetup: ['tests/support/redis-server.setup.ts'],
        },
      },
      {
        test: {
          ...shared,
          name: 'e2e',
          include: ['tests/e2e/**/*.test.ts'],
          globalSetup: ['tests/support/redis-server.setup.ts'],
          testTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...shared,
          name: 'cluster',
          include: ['tests/cluster/**/*.test.ts'],
          globalSetup: ['tests/support/redis-server.setup.ts', 'tests/cluster/support/shared-cluster.setup.ts'],
          testTimeout: 120_000,
          // Most of their time goes by waiting: for Leases to run out, for pods to boot.
          maxWorkers: 3,
        },
      },
      {
        test: {
          ...shared,
          name: 'chaos',
          include: ['tests/chaos/**/*.test.ts'],
          globalSetup: ['tests/cluster/support/shared-cluster.setup.ts'],
          testTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
