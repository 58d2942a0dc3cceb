import type { ObjectFeed } from '../../../core/kubernetes.ts';
import { type KubeEvent, type PodEvent, podEvent } from '../../policy/kube/pod-events.ts';

/** Events of pods by pod uid. As large as the feed; none when there is no feed of Events. */
export class PodEventIndex {
  readonly #feed: ObjectFeed<KubeEvent> | null;
  #byPod: Map<string, PodEvent[]> | null = null;
  readonly #stop: () => void;

  constructor(feed: ObjectFeed<KubeEvent> | null) {
    this.#feed = feed;
    this.#stop =
      feed?.onChange(() => {
        this.#byPod = null;
      }) ?? (() => undefined);
  }

  of(uid: string): readonly PodEvent[] {
    this.#byPod ??= this.#build();
    return this.#byPod.get(uid) ?? [];
  }

  close(): void {
    this.#stop();
  }

  #build(): Map<string, PodEvent[]> {
    const byPod = new Map<string, PodEvent[]>();
    for (const event of this.#feed?.list() ?? []) {
      const uid = event.involvedObject?.uid;
      const said = podEvent(event);
      if (uid === undefined || said === null) continue;
      const others = byPod.get(uid);
      if (others === undefined) byPod.set(uid, [said]);
      else others.push(said);
    }
    return byPod;
  }
}
