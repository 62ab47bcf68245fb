// The walls between rooms. Rule 1 of the design: only types cross from spec to reference, and only from units and vocabularies.
const vocabulary = '^spec/(units\\.ts|vocabulary\\.ts|[^/]+/vocabulary\\.ts)$';
module.exports = {
  forbidden: [
    { name: 'spec-imports-neither-side', severity: 'error', from: { path: '^spec/' }, to: { path: '^(reference|conformance|scripts)/' } },
    { name: 'reference-imports-no-suite', severity: 'error', from: { path: '^reference/' }, to: { path: '^(conformance|scripts)/' } },
    { name: 'reference-sees-only-vocabularies', severity: 'error', from: { path: '^reference/' }, to: { path: '^spec/', pathNot: vocabulary } },
    {
      name: 'only-types-cross',
      severity: 'error',
      from: { path: '^reference/' },
      to: { path: '^spec/', dependencyTypesNot: ['type-only'] },
    },
    { name: 'vocabularies-hold-types', severity: 'error', from: { path: vocabulary }, to: { dependencyTypesNot: ['type-only'] } },
    { name: 'conformance-imports-no-script', severity: 'error', from: { path: '^conformance/' }, to: { path: '^scripts/' } },
    { name: 'koffi-in-one-folder', severity: 'error', from: { pathNot: '^conformance/targets/host/' }, to: { path: 'koffi' } },
    { name: 'no-circular', severity: 'error', from: { path: '^(spec|reference|conformance|scripts)/' }, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
  ],
  options: { parser: 'swc', doNotFollow: { path: 'node_modules' }, tsPreCompilationDeps: true, exclude: { path: '\\.test\\.ts$' } },
};
