/**
 * Order inside one objective's queue, as BullMQ's `priority`: 1..2,097,151, lower first, equal in order of arrival.
 * Never 0: BullMQ keeps those in another list that goes before every prioritized one.
 *
 * The tag of a queue without fair order between tenants: everybody has the same, so the order is that of arrival.
 */
export const ARRIVAL_TAG = 1;
