/**
 * Order inside one objective's queue, as BullMQ's `priority`: 1..2,097,151, lower first, equal in order of arrival.
 * Never 0: BullMQ keeps those in another list that goes before every prioritized one.
 *
 * Everybody has the same tag, so the order is that of arrival. Fair queueing between tenants will spread tags over
 * two generations of 2^20.
 */
export const ARRIVAL_TAG = 1;
