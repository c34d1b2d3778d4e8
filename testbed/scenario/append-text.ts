/** A shell command that adds a text to a file of the host, whatever characters it has. */
export const appendText = (path: string, text: string): string => `base64 -d <<<${btoa(text)} >>${path}`
