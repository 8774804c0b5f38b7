/** Files beside a model with its tokenizer: in llama2.c's folders the first, in Hugging Face's and Meta's the others. */
export const besideNames = ["tokenizer.bin", "tokenizer.model", "tokenizer.json"];
