/** The XML by which libvirt starts a QEMU that waits for a saved guest. Pure. */

const NAMESPACE = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
const FIRST = "<qemu:arg value='-incoming'/>"
const WORDS = `    ${FIRST}\n    <qemu:arg value='defer'/>\n`
const END = '</qemu:commandline>'

/**
 * `xml`: live XML of libvirt, which may have waited already. It stays in the domain's live XML until its next
 * start by anybody else, and means nothing to a guest that runs.
 */
export function waitingXml(xml: string): string {
  if (xml.includes(FIRST)) return xml
  const named = xml.includes('xmlns:qemu=') ? xml : xml.replace(/^(<domain\b[^>]*)>/m, `$1 ${NAMESPACE}>`)
  const at = named.lastIndexOf(END)
  if (at >= 0) return `${named.slice(0, at).trimEnd()}\n${WORDS}  ${named.slice(at)}`
  const end = named.lastIndexOf('</domain>')
  return `${named.slice(0, end)}  <qemu:commandline>\n${WORDS}  ${END}\n${named.slice(end)}`
}
