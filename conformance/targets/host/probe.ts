// Whether this machine lets us call libc from Node: linux-x64 with koffi loadable. Every "no" carries its one-line reason.
// Structure offsets in this folder are those of the x86-64 System V ABI; elsewhere nothing here may run.

export type Probe = { readonly ok: true; readonly detail: string } | { readonly ok: false; readonly reason: string };

/** Never throws; loads koffi, but calls nothing through it. */
export const probeHost = async (): Promise<Probe> => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { ok: false, reason: `needs linux-x64, this is ${process.platform}-${process.arch}` };
  }
  try {
    const { default: koffi } = await import('koffi');
    koffi.load('libc.so.6').unload();
    return { ok: true, detail: `koffi ${koffi.version}` };
  } catch (error) {
    return { ok: false, reason: `koffi is not loadable: ${String(error).split('\n')[0]}` };
  }
};
