/** Receiving domains that give an address to anybody for some minutes, and names below them. The list is a package's; it is read once, when it is first asked. */
import { disposableEmailBlocklist } from 'disposable-email-domains-js';

let known: ReadonlySet<string> | undefined;

/** `domain` in lower case. */
export function isDisposable(domain: string): boolean {
  known ??= new Set(disposableEmailBlocklist());
  for (let name = domain; name.includes('.'); name = name.slice(name.indexOf('.') + 1)) if (known.has(name)) return true;
  return false;
}
