// JSON as far as the calculator needs it (RFC 8259): one object, and nothing nested in it.

const QUOTE: i32 = 0x22;
const BACKSLASH: i32 = 0x5c;
const END: i32 = -1;

/** The strings and numbers of an object, by their names. Of two with one name the later counts. */
export class FlatObject {
  strings: Map<string, string> = new Map<string, string>();
  numbers: Map<string, f64> = new Map<string, f64>();

  /** `null` if `text` is anything else. Members that are `true`, `false` or `null` are passed over. */
  static parse(text: string): FlatObject | null {
    const object = new FlatObject();
    const reader = new Reader(text);
    reader.skipSpace();
    if (!reader.take("{")) return null;
    reader.skipSpace();
    if (!reader.take("}")) {
      do {
        if (!object.readMember(reader)) return null;
      } while (reader.take(","));
      if (!reader.take("}")) return null;
    }
    reader.skipSpace();
    return reader.next() == END ? object : null;
  }

  /** Reads a member with the space around it. */
  private readMember(reader: Reader): bool {
    reader.skipSpace();
    const name = reader.readString();
    if (name === null) return false;
    reader.skipSpace();
    if (!reader.take(":")) return false;
    reader.skipSpace();

    this.strings.delete(name);
    this.numbers.delete(name);
    if (reader.next() == QUOTE) {
      const value = reader.readString();
      if (value === null) return false;
      this.strings.set(name, value);
    } else if (!reader.take("true") && !reader.take("false") && !reader.take("null")) {
      const value = reader.readNumber();
      if (isNaN(value)) return false;
      this.numbers.set(name, value);
    }
    reader.skipSpace();
    return true;
  }
}

/** Where a text has been read to. What fails leaves it anywhere. */
class Reader {
  private at: i32 = 0;

  constructor(private text: string) {}

  /** The next UTF-16 unit, or `END`. */
  next(): i32 {
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : END;
  }

  skipSpace(): void {
    while (this.next() == 0x20 || this.next() == 0x09 || this.next() == 0x0a || this.next() == 0x0d) this.at += 1;
  }

  /** Takes `word` if it is next. */
  take(word: string): bool {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  readString(): string | null {
    if (!this.take('"')) return null;
    let value = "";
    let from = this.at;
    while (true) {
      const unit = this.next();
      if (unit < 0x20) return null; // a control character, or the end
      if (unit == QUOTE || unit == BACKSLASH) {
        value += this.text.substring(from, this.at);
        this.at += 1;
        if (unit == QUOTE) return value;
        const escaped = this.readEscape();
        if (escaped < 0) return null;
        value += String.fromCharCode(escaped);
        from = this.at;
      } else {
        this.at += 1;
      }
    }
  }

  /** NaN if there is none, or if it is too large. */
  readNumber(): f64 {
    const from = this.at;
    this.take("-");
    const leadingZero = this.next() == 0x30;
    const digits = this.skipDigits();
    if (digits == 0 || (leadingZero && digits > 1)) return NaN;
    if (this.take(".") && this.skipDigits() == 0) return NaN;
    if (this.take("e") || this.take("E")) {
      if (!this.take("+")) this.take("-");
      if (this.skipDigits() == 0) return NaN;
    }
    const value = F64.parseFloat(this.text.substring(from, this.at));
    return isFinite(value) ? value : NaN;
  }

  private skipDigits(): i32 {
    const from = this.at;
    while (this.next() >= 0x30 && this.next() <= 0x39) this.at += 1;
    return this.at - from;
  }

  /** What stands behind a backslash, as a UTF-16 unit; -1 if it stands for nothing. */
  private readEscape(): i32 {
    if (this.take('"')) return QUOTE;
    if (this.take("\\")) return BACKSLASH;
    if (this.take("/")) return 0x2f;
    if (this.take("b")) return 0x08;
    if (this.take("f")) return 0x0c;
    if (this.take("n")) return 0x0a;
    if (this.take("r")) return 0x0d;
    if (this.take("t")) return 0x09;
    if (!this.take("u")) return -1;

    let unit = 0;
    for (let i = 0; i < 4; i++) {
      const digit = hexDigit(this.next());
      if (digit < 0) return -1;
      unit = unit * 16 + digit;
      this.at += 1;
    }
    return unit;
  }
}

function hexDigit(unit: i32): i32 {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}
