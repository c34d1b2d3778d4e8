# Completion for fish. Made by 'npm run reference': change src/commands, not this file.

function __guestmemfs_pools
    guestmemfs list --json 2>/dev/null | grep -oE '"pool":"[A-Za-z0-9_./@%+,-]*"' | cut -d '"' -f 4
end

function __guestmemfs_mounts
    guestmemfs list --json 2>/dev/null | grep -oE '"(pool|mountPoint)":"[A-Za-z0-9_./@%+,-]*"' | cut -d '"' -f 4
end

function __guestmemfs_vms
    guestmemfs vms --json 2>/dev/null | grep -oE '"name":"[A-Za-z0-9_./@%+,-]*"' | cut -d '"' -f 4
end

# Whether no command is typed yet.
function __guestmemfs_first
    test (count (commandline -opc)) -eq 1
end

# NAME...: whether the command has one of these names.
function __guestmemfs_in
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

# NUMBER OPTION...: whether the next word is this argument of its command. The options take a value.
function __guestmemfs_at
    set -l wanted $argv[1]
    set -l words (commandline -opc)
    set -l place 1
    set -l is_value 0
    set -e argv[1]
    set -e words[1..2]
    for word in $words
        if test $is_value = 1
            set is_value 0
        else if contains -- $word $argv
            set is_value 1
        else if not string match -q -- '-*' $word
            set place (math $place + 1)
        end
    end
    test $place = $wanted
end

complete -c guestmemfs -f
complete -c guestmemfs -n __guestmemfs_first -s V -l version -d 'output the version number'
complete -c guestmemfs -n __guestmemfs_first -s h -l help -d 'display help for command'
complete -c guestmemfs -n __guestmemfs_first -a mount -d 'mount a pool'
complete -c guestmemfs -n __guestmemfs_first -a umount -d 'unmount a pool; its memory stays parked unless discarded'
complete -c guestmemfs -n __guestmemfs_first -a list -d 'list the pools of this host, mounted and parked, and the guest RAM in them'
complete -c guestmemfs -n __guestmemfs_first -a status -d 'show how a mounted pool is, in six lines; with -v all that it tells of itself'
complete -c guestmemfs -n __guestmemfs_first -a freeze -d 'refuse every modification until thawed; guests go on writing to their RAM'
complete -c guestmemfs -n __guestmemfs_first -a thaw -d 'end a freeze'
complete -c guestmemfs -n __guestmemfs_first -a format -d 'make a carve-out an empty pool; the first mount does this by itself'
complete -c guestmemfs -n __guestmemfs_first -a upgrade -d 'upgrade the formats of a mounted pool: older versions do not read it then'
complete -c guestmemfs -n __guestmemfs_first -a run -d 'start QEMU as a VM that can be live-updated'
complete -c guestmemfs -n __guestmemfs_first -a vms -d 'list the VMs whose RAM is in a mount: running, stopped by an update, saved, or dead'
complete -c guestmemfs -n __guestmemfs_first -a resume -d 'resume saved VMs: after a live update that failed, or in the next kernel'
complete -c guestmemfs -n __guestmemfs_first -a live-update -d 'replace the host kernel or QEMU under running guests'
complete -c guestmemfs -n __guestmemfs_first -a handover -d 'freeze a pool of memfds and preserve it for the next kernel; \'thaw\' unpreserves it'
complete -c guestmemfs -n __guestmemfs_first -a report -d 'show timings of the last live update'
complete -c guestmemfs -n __guestmemfs_first -a doctor -d 'check this host; --fix repairs what it can'
complete -c guestmemfs -n __guestmemfs_first -a reserve -d 'print the kernel parameters that set RAM aside for a pool; changes nothing'
complete -c guestmemfs -n __guestmemfs_first -a install -d 'install this version, the mount helper, the command and the systemd unit'
complete -c guestmemfs -n __guestmemfs_first -a uninstall -d 'remove what install wrote; pools and their memory are not touched'
complete -c guestmemfs -n __guestmemfs_first -a metrics -d 'print figures of pools, guests and the last live update for Prometheus'
complete -c guestmemfs -n __guestmemfs_first -a fsck -d 'check the image of a pool, mounted or not; changes nothing'
complete -c guestmemfs -n __guestmemfs_first -a dump -d 'print a pool\'s image as JSON: header, state, and the records of its log'
complete -c guestmemfs -n __guestmemfs_first -a help -d 'show the options of a command'
complete -c guestmemfs -n '__guestmemfs_in mount' -s o -x -d 'size=10G and the flags of mount(8), separated by commas'
complete -c guestmemfs -n '__guestmemfs_in mount' -l resume -d 'then resume the VMs that are saved in it, as `guestmemfs resume` does'
complete -c guestmemfs -n '__guestmemfs_in mount' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in mount' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in mount; and __guestmemfs_at 1 -o' -a '(__guestmemfs_pools)'
complete -c guestmemfs -n '__guestmemfs_in mount; and __guestmemfs_at 2 -o' -a '(__fish_complete_directories)'
complete -c guestmemfs -n '__guestmemfs_in umount' -l discard -d 'free the memory of a pool of memfds, whatever it holds; one in a region keeps its files'
complete -c guestmemfs -n '__guestmemfs_in umount' -l force -d 'cut off processes with open files; guests keep their memory and run on'
complete -c guestmemfs -n '__guestmemfs_in umount' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in umount' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in umount; and __guestmemfs_at 1' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in list' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in list' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in status' -s v -l verbose -d 'then all that the pool tells of itself'
complete -c guestmemfs -n '__guestmemfs_in status' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in status' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in status; and __guestmemfs_at 1' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in freeze' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in freeze' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in freeze; and __guestmemfs_at 1' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in thaw' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in thaw' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in thaw; and __guestmemfs_at 1' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in format' -l store -x -a 'dax devmem' -d 'dax: a region of device-dax; devmem: a reserved range'
complete -c guestmemfs -n '__guestmemfs_in format' -l region -x -d 'such as dax0.0 or 0x100000000; not needed where there is one'
complete -c guestmemfs -n '__guestmemfs_in format' -l force -d 'also when the region holds a pool or other data, which are lost'
complete -c guestmemfs -n '__guestmemfs_in format' -l bad -x -d 'memory that is bad: ADDRESS+SIZE, as 0x140000000+4K, separated by commas; may be given several times'
complete -c guestmemfs -n '__guestmemfs_in format' -l forget-bad -d 'what a former pool there has recorded as bad is good again'
complete -c guestmemfs -n '__guestmemfs_in format' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in format' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in format; and __guestmemfs_at 1 --store --region --bad' -a '(__guestmemfs_pools)'
complete -c guestmemfs -n '__guestmemfs_in upgrade' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in upgrade' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in upgrade; and __guestmemfs_at 1' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in run' -l name -x -d 'the VM\'s name; default: from -name, or its RAM file\'s name'
complete -c guestmemfs -n '__guestmemfs_in run' -l user -x -a '(__fish_complete_users)' -d 'run QEMU as this user; default: who called sudo'
complete -c guestmemfs -n '__guestmemfs_in run' -l pool -x -a '(__guestmemfs_mounts)' -d 'look for its RAM in this pool only: a name or a mount point; may be given several times'
complete -c guestmemfs -n '__guestmemfs_in run' -l order -x -d 'in an update, the save and the start of a lower one begin first'
complete -c guestmemfs -n '__guestmemfs_in run' -l env -x -d 'record one more environment variable'
complete -c guestmemfs -n '__guestmemfs_in run' -l before -x -d 'run this before each QEMU, as its user; may be given several times'
complete -c guestmemfs -n '__guestmemfs_in run' -l after -x -d 'run this after the end of each QEMU'
complete -c guestmemfs -n '__guestmemfs_in run' -l suspend -d 'its agent suspends it before each update, as by default where it has a VFIO device'
complete -c guestmemfs -n '__guestmemfs_in run' -l trust-devmem -d 'with store=devmem: this user may have QEMU open anything as root'
complete -c guestmemfs -n '__guestmemfs_in run' -l replace -d 'take the place of a VM that is recorded on the same RAM and does not run'
complete -c guestmemfs -n '__guestmemfs_in run' -l ram -r -F -d 'of another VMM: a file of its RAM; may be given several times'
complete -c guestmemfs -n '__guestmemfs_in run' -l save -x -d 'of another VMM: stops the guest, writes its state to $GUESTMEMFS_STATE'
complete -c guestmemfs -n '__guestmemfs_in run' -l cancel -x -d 'of another VMM: has a guest go on that --save stopped'
complete -c guestmemfs -n '__guestmemfs_in run' -l start -x -d 'of another VMM: becomes a program that goes on from that state'
complete -c guestmemfs -n '__guestmemfs_in run' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in run' -F
complete -c guestmemfs -n '__guestmemfs_in vms' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in vms' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in vms; and __guestmemfs_at 1' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in resume' -l name -x -a '(__guestmemfs_vms)' -d 'this VM only; may be given several times; default: all that are saved'
complete -c guestmemfs -n '__guestmemfs_in resume' -l qemu -r -F -d 'the QEMU to start; default: what each VM was started with'
complete -c guestmemfs -n '__guestmemfs_in resume' -l timeout -x -d 'for each step of each VM, as 200ms, 5s or 2m'
complete -c guestmemfs -n '__guestmemfs_in resume' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in resume' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in resume; and __guestmemfs_at 1 --name --qemu --timeout' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l kernel -r -F -d 'the next kernel of this machine'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l initrd -r -F -d 'its initrd'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l append -x -d 'its command line; with --reuse-cmdline, what is added to this kernel\'s; default: this kernel\'s'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l reuse-cmdline -d 'this kernel\'s command line'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l via -x -a 'kexec systemctl' -d 'kexec: at once; systemctl: systemd stops services first'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l dry-run -d 'with --kernel: print the plan and preflight errors, change nothing'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l rehearse -d 'do all of it that stops no guest, print what would be, leave nothing behind'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l vmm-only -d 'each guest\'s QEMU alone, not the kernel'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l qemu -r -F -d 'with --vmm-only: the QEMU to start; default: what each VM was started with'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l name -x -a '(__guestmemfs_vms)' -d 'with --vmm-only: this VM only; may be given several times'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l abort -d 'undo a live update that is under way, or that was killed, and continue its guests'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l all-or-none -d 'with --vmm-only: update no VM where one cannot be updated'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l leave -x -a '(__guestmemfs_vms)' -d 'with --kernel: save nothing of this VM, which ends; may be given several times'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l patience -x -d 'with --kernel: how long the other guests wait for a QEMU that hangs'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l timeout -x -d 'for each step of each VM, as 200ms, 5s or 2m'
complete -c guestmemfs -n '__guestmemfs_in live-update' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in live-update' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in live-update; and __guestmemfs_at 1 --kernel --initrd --append --via --qemu --name --leave --patience --timeout' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in handover hand-over' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in handover hand-over' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in handover hand-over; and __guestmemfs_at 1' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in report' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in report' -l html -r -F -d 'print nothing: replace this file by a page of it and of former updates'
complete -c guestmemfs -n '__guestmemfs_in report' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in report; and __guestmemfs_at 1 --html' -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in doctor' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in doctor' -l fix -d 'do what can be done here; on a terminal it asks before each change'
complete -c guestmemfs -n '__guestmemfs_in doctor' -l blackout -d 'also list what would make an update of the kernel longer than it must be'
complete -c guestmemfs -n '__guestmemfs_in doctor' -s y -l yes -d 'do not ask'
complete -c guestmemfs -n '__guestmemfs_in doctor' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in reserve' -l size -x -d 'how much, as 10G; where nodes differ, one for each, as 10G,40G'
complete -c guestmemfs -n '__guestmemfs_in reserve' -l at -x -d 'where: a physical address, as 16G or 0x400000000; default: the best place'
complete -c guestmemfs -n '__guestmemfs_in reserve' -l numa -x -d 'in this memory node; of several, as 0,1, or of all, a range in each'
complete -c guestmemfs -n '__guestmemfs_in reserve' -l store -x -a 'dax devmem' -d 'dax, or devmem: hidden, without struct pages'
complete -c guestmemfs -n '__guestmemfs_in reserve' -l replace -d 'instead of the carve-outs of the running kernel'
complete -c guestmemfs -n '__guestmemfs_in reserve' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in reserve' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in install' -l prefix -x -a '(__fish_complete_directories)' -d 'install below this directory, and run from there'
complete -c guestmemfs -n '__guestmemfs_in install' -s y -l yes -d 'do not ask'
complete -c guestmemfs -n '__guestmemfs_in install' -l libvirt -d 'what libvirt\'s guests need to be in a pool as well'
complete -c guestmemfs -n '__guestmemfs_in install' -l no-libvirt -d 'without that, also where it was installed before'
complete -c guestmemfs -n '__guestmemfs_in install' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in uninstall' -l prefix -x -a '(__fish_complete_directories)' -d 'where it was installed'
complete -c guestmemfs -n '__guestmemfs_in uninstall' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in metrics' -l textfile -r -F -d 'print nothing: replace this file, for node_exporter\'s textfile collector'
complete -c guestmemfs -n '__guestmemfs_in metrics' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in fsck' -l json -d 'print JSON'
complete -c guestmemfs -n '__guestmemfs_in fsck' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in fsck; and __guestmemfs_at 1' -F -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in dump' -s h -l help -d 'display help for command'
complete -c guestmemfs -n '__guestmemfs_in dump; and __guestmemfs_at 1' -F -a '(__guestmemfs_mounts)'
complete -c guestmemfs -n '__guestmemfs_in help; and __guestmemfs_at 1' -a 'mount umount list status freeze thaw format upgrade run vms resume live-update handover report doctor reserve install uninstall metrics fsck dump help'
