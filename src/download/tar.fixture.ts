/** Headers and archives for tests, put together from POSIX.1-2008 (ustar) alone. */
export interface Piece {
  path: string;
  data?: string | Uint8Array;
  type?: string;
  /** What the header says, where it lies. */
  size?: number | Uint8Array;
  link?: string;
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

export function tarEntry({ path, data = "", type = "0", size, link = "" }: Piece): Uint8Array {
  const body = typeof data === "string" ? encode(data) : data;
  const block = new Uint8Array(512 + Math.ceil(body.length / 512) * 512);
  block.set(encode(path), 0);
  block.set(encode("0000644\0"), 100);
  if (size instanceof Uint8Array) block.set(size, 124);
  else block.set(encode((size ?? body.length).toString(8).padStart(11, "0")), 124);
  block[156] = type.charCodeAt(0);
  block.set(encode(link), 157);
  block.set(encode("ustar\u000000"), 257);
  block.set(encode("        "), 148);
  const sum = block.subarray(0, 512).reduce((a, b) => a + b, 0);
  block.set(encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  block.set(body, 512);
  return block;
}

export function tarArchive(...pieces: Piece[]): Uint8Array {
  return new Uint8Array(Buffer.concat([...pieces.map(tarEntry), new Uint8Array(1024)]));
}

/** A pax header for the entry that follows it. */
export function paxHeader(records: Record<string, string>): Piece {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = encode(` ${key}=${value}\n`).length;
    let length = rest + String(rest).length;
    if (String(length).length + rest !== length) length++;
    return `${length} ${key}=${value}\n`;
  });
  return { path: "pax", type: "x", data: lines.join("") };
}
