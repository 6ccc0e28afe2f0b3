/** How private keys are sealed before they are kept: with the instance's secret, each for its own purpose, so that a row's key fits no other row. */
export interface Vault {
  seal(plain: Uint8Array, context: string): Buffer;
  /** Throws when it was sealed for something else, or with another secret. */
  unseal(sealed: Uint8Array, context: string): Buffer;
}

export function certificateKeyContext(name: string): string {
  return `certificate key of ${name}`;
}

export function accountKeyContext(directory: string): string {
  return `certificate authority account at ${directory}`;
}
