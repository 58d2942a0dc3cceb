import { EventEmitter } from 'node:events';
import type { AnswerWriter } from '../../../../src/ingress/ports.ts';

/** A response that keeps what it is told. `isFull` makes it push back. */
export class FakeWriter extends EventEmitter implements AnswerWriter {
  status: number | null = null;
  headers: Record<string, string> = {};
  readonly writes: string[] = [];
  writableEnded = false;
  destroyed = false;
  isFull = false;

  get headersSent(): boolean {
    return this.status !== null;
  }

  get writableNeedDrain(): boolean {
    return this.isFull;
  }

  get text(): string {
    return this.writes.join('');
  }

  writeHead(status: number, headers: Record<string, string>): void {
    if (this.status !== null) throw new Error('two heads');
    this.status = status;
    this.headers = headers;
  }

  write(chunk: Uint8Array | string): boolean {
    if (this.status === null || this.writableEnded) throw new Error('write without a head, or after the end');
    this.writes.push(Buffer.from(chunk).toString());
    return !this.isFull;
  }

  end(chunk?: Uint8Array | string): void {
    if (this.status === null || this.writableEnded) throw new Error('end without a head, or twice');
    if (chunk !== undefined) this.writes.push(Buffer.from(chunk).toString());
    this.writableEnded = true;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }

  drain(): void {
    this.isFull = false;
    this.emit('drain');
  }
}
