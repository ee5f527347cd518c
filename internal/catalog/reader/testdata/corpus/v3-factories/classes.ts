import type { Inngest } from "inngest";

export abstract class Jobs {
  static readonly prefix: string = "jobs";
  #client: Inngest;
  protected retries = 1;
  readonly all: any[] = [];
  constructor(client: Inngest, protected readonly name: string) {
    this.#client = client;
    this.setUp();
  }
  get label() {
    return `${(this.constructor as typeof Jobs).prefix}-${this.name}`;
  }
  protected abstract setUp(): void;
  protected add(id: string, event: string) {
    const options = { id: `${this.label}-${id}`, retries: this.retries as 1 };
    this.all.push(this.#client.createFunction(options, { event }, async () => {}));
    return this;
  }
}
export class MailJobs extends Jobs {
  static override readonly prefix = "mail";
  protected setUp() {
    this.add("send", "mail/send").add("receive", "mail/receive");
  }
  protected override add(id: string, event: string) {
    return super.add(`m-${id}`, event);
  }
}
export class Registry {
  static #made = new Map<string, any>();
  static functions: any[] = [];
  static {
    Registry.functions.push(...[]);
  }
  static define(client: Inngest, id: string) {
    const fn = client.createFunction({ id: `static-${id}` }, { event: `static/${id}` }, async () => {});
    this.#made.set(id, fn);
    Registry.functions.push(fn);
    return fn;
  }
  static get size() {
    return this.#made.size;
  }
}
