/** A page of a heading and a sentence, for when the app itself cannot be shown. */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** HTML that needs no other file and runs no script. */
export const plainPage = (heading: string, words: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Ringmaster</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif; }
  body { max-width: 36rem; margin: 20vh auto; padding: 0 1.5rem; }
  h1 { font-size: 1.4rem; }
</style>
<h1>${escaped(heading)}</h1>
<p>${escaped(words)}</p>
</html>
`;
