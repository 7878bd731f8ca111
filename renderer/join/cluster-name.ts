/** What is wrong with a cluster's name, as a sentence; null when nothing is. Pure. */
export function clusterNameProblem(typed: string): string | null {
  const name = typed.trim();
  if (name === '') return 'Give the cluster a name.';
  if (name.length > 15) return 'The name is longer than 15 characters.';
  if (!/^[A-Za-z0-9-]+$/.test(name)) return 'Only letters, digits and dashes are allowed.';
  if (name.startsWith('-') || name.endsWith('-')) return 'It begins and ends with a letter or a digit.';
  return null;
}
