/**
 * dpkg's database for a host whose packages were unpacked without it: that these packages are installed, so
 * that dpkg decides by itself whether another one's dependencies are there (deb-control(5), dpkg(1)).
 */
import type { Package } from './apt.ts'

export const dpkgStatus = (packages: readonly Package[]): string =>
  packages
    .map(
      ({ name, version }) => `Package: ${name}
Status: install ok installed
Maintainer: the testbed <testbed@localhost>
Architecture: amd64
Version: ${version}
Description: unpacked into the root image
`,
    )
    .join('\n')
