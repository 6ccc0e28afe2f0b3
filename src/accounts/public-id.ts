/** Ids as clients see them: 24 hexadecimal digits, as hosted services give. They are no secret: every look-up is bound to the caller's account. */
const ID_MAX = 2 ** 53;

export function publicId(id: number): string {
  return id.toString(16).padStart(24, '0');
}

/** undefined: no id of ours looks so. */
export function idOfPublic(text: string): number | undefined {
  if (!/^[0-9a-f]{24}$/i.test(text)) return undefined;
  const id = Number.parseInt(text, 16);
  return id > 0 && id < ID_MAX ? id : undefined;
}
