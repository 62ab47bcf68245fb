// Bochs without BIOS, disk or display: the ROM is the machine. Deterministic clock; the debugger's script writes the results out of guest memory.

/** Files are in the folder that Bochs runs in. `vga.rom` must exist, any 512 bytes. */
export const bochsrc = (model: string, megabytes: number): string => `config_interface: textconfig
display_library: term
cpu: model=${model}, count=1, ips=50000000, reset_on_triple_fault=1, cpuid_limit_winnt=0
memory: guest=${megabytes}, host=${megabytes}
romimage: file=run.rom
vgaromimage: file=vga.rom
magic_break: enabled=1
log: run.log
panic: action=report
error: action=ignore
info: action=ignore
debug: action=ignore
clock: sync=none, time0=0
sound: driver=dummy
speaker: enabled=0
vga: extension=none, update_freq=1, realtime=0
plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=0, parallel=0, serial=1, iodebug=0
`;
