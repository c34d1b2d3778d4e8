/**
 * Lines of a launcher, in sh, that read the files of Node and QEMU into memory while Node starts. After a
 * kexec no page of them is there, and a command that resumes guests runs while they are stopped: one
 * sequential read beside it takes less time than a page at a time does.
 */

/** `node`: a word of sh that names its file. */
export const readAhead = (node: string): string => `case $* in
*--resume* | resume* | early*)
  for file in ${node} "$(command -v qemu-system-x86_64)"; do cat "$file"; done </dev/null >/dev/null 2>&1 &
  ;;
esac
`
