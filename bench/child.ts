/**
 * Generators and sink are processes of their own, so that their CPU is not counted as the server's and one does not slow the other.
 * This is the wire between them and the report: a question with a name, an answer, over Node's IPC channel. A child ends when its parent is gone.
 */
import { type ChildProcess, fork } from 'node:child_process';

interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** The parent's end. Every question is answered or rejects, at the latest when the child ends. */
export class Child {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #next = 1;

  constructor(script: string) {
    // Its own options: what this process was started with (see bin/pinned-node.js) is not meant for it.
    const execArgv = ['--disable-warning=ExperimentalWarning'];
    this.#process = fork(script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv });
    this.#process.on('message', (message) => this.#answered(message as Answer));
    this.#process.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${script} ended (${code ?? signal})`));
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  ask<T>(name: string, argument?: unknown): Promise<T> {
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#process.send({ id, name, argument } satisfies Question, (error) => {
        if (error === null || !this.#waiting.delete(id)) return;
        reject(error);
      });
    });
  }

  stop(): void {
    this.#process.kill('SIGKILL');
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.id);
    if (answer.error === undefined) waiting.resolve(answer.value);
    else waiting.reject(new Error(answer.error));
  }
}

/** The child's end: serves questions by name until the parent is gone. */
export function answerParent(handlers: Readonly<Record<string, (argument: never) => unknown>>): void {
  process.on('message', (message) => void answer(message as Question, handlers));
  process.on('disconnect', () => process.exit(0));
}

async function answer(question: Question, handlers: Readonly<Record<string, (argument: never) => unknown>>): Promise<void> {
  let reply: Answer;
  try {
    const handler = handlers[question.name];
    if (handler === undefined) throw new Error(`no such question: ${question.name}`);
    reply = { id: question.id, value: await handler(question.argument as never) };
  } catch (error) {
    reply = { id: question.id, error: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(reply);
}
