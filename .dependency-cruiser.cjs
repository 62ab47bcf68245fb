// The walls between rooms (design, rule 1). dependency-cruiser with swc sees edges but not whether they are types:
// that only types cross from spec to reference, and that vocabularies hold nothing else, conformance/walls.test.ts checks.
const vocabulary = '^spec/(units\\.ts|vocabulary\\.ts|[^/]+/vocabulary\\.ts)$';
module.exports = {
  forbidden: [
    { name: 'spec-imports-neither-side', severity: 'error', from: { path: '^spec/' }, to: { path: '^(reference|conformance|scripts)/' } },
    { name: 'reference-imports-no-suite', severity: 'error', from: { path: '^reference/' }, to: { path: '^(conformance|scripts)/' } },
    { name: 'reference-sees-only-vocabularies', severity: 'error', from: { path: '^reference/' }, to: { path: '^spec/', pathNot: vocabulary } },
    { name: 'reference-needs-no-package', severity: 'error', from: { path: '^reference/' }, to: { path: 'node_modules', pathNot: 'node_modules/iced-x86/' } },
    { name: 'decoder-in-one-folder', severity: 'error', from: { path: '^(spec|reference)/', pathNot: '^reference/processor/' }, to: { path: 'iced-x86' } },
    { name: 'conformance-imports-no-script', severity: 'error', from: { path: '^conformance/' }, to: { path: '^scripts/' } },
    { name: 'koffi-in-one-folder', severity: 'error', from: { pathNot: '^conformance/targets/host/' }, to: { path: 'koffi' } },
  ],
  options: { parser: 'swc', doNotFollow: { path: 'node_modules' }, tsPreCompilationDeps: true, exclude: { path: '\\.test\\.ts$' } },
};
