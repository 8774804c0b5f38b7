/**
 * What an algorithm makes of a text: for each symbol the id of its piece, or minus its number of bytes where it is a
 * character that the vocabulary does not have. The symbols cover the text without gaps, so that the bytes of each
 * follow from the list.
 */
export class CodeList {
  codes: Int32Array;
  length = 0;

  constructor(capacity: number) {
    this.codes = new Int32Array(capacity);
  }

  push(code: number): void {
    if (this.length === this.codes.length) {
      const larger = new Int32Array(2 * this.length);
      larger.set(this.codes);
      this.codes = larger;
    }
    this.codes[this.length++] = code;
  }
}
