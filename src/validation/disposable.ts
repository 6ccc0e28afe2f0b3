/**
 * Receiving domains that give an address to anybody for some minutes, and names below them. The list is a package's; it is loaded when it is first asked, because it takes
 * some tens of megabytes that a program which validates nothing has no use for.
 */
let loading: Promise<ReadonlySet<string>> | undefined;

async function load(): Promise<ReadonlySet<string>> {
  const { disposableEmailBlocklist } = await import('disposable-email-domains-js');
  return new Set(disposableEmailBlocklist());
}

/** `domain` in lower case. */
export async function isDisposable(domain: string): Promise<boolean> {
  const known = await (loading ??= load());
  for (let name = domain; name.includes('.'); name = name.slice(name.indexOf('.') + 1)) if (known.has(name)) return true;
  return false;
}
