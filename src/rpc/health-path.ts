/**
 * Whether a plugin's metadata `health_path` is a path with or without a query. It is put behind the plugin's URL: without
 * a slash in front it would go on with the host's name there, and lead the host's polls to somebody else.
 */
export const isHealthPath = (path: string): boolean => /^\/[!-~]*$/.test(path);
