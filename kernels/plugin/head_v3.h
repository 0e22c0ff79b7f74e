// The plugin for TensorRT 10 and later.
#ifndef EDGETL_HEAD_V3_H
#define EDGETL_HEAD_V3_H

#include <new>

#include "head_call.h"

namespace edgetl::plugin {

class Head final : public nvinfer1::IPluginV3,
                   public nvinfer1::IPluginV3OneCore,
                   public nvinfer1::IPluginV3OneBuild,
                   public nvinfer1::IPluginV3OneRuntime {
 public:
  explicit Head(const Fields &fields) noexcept : fields_(fields) {}

  nvinfer1::IPluginCapability *getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override {
    switch (type) {
      case nvinfer1::PluginCapabilityType::kCORE: return static_cast<nvinfer1::IPluginV3OneCore *>(this);
      case nvinfer1::PluginCapabilityType::kBUILD: return static_cast<nvinfer1::IPluginV3OneBuild *>(this);
      case nvinfer1::PluginCapabilityType::kRUNTIME: return static_cast<nvinfer1::IPluginV3OneRuntime *>(this);
    }
    return nullptr;
  }

  nvinfer1::IPluginV3 *clone() noexcept override { return new (std::nothrow) Head(fields_); }

  const char *getPluginName() const noexcept override { return kName; }
  const char *getPluginVersion() const noexcept override { return kVersion; }
  const char *getPluginNamespace() const noexcept override { return kNamespace; }

  std::int32_t getNbOutputs() const noexcept override { return kOutputs; }

  std::int32_t getOutputDataTypes(DataType *types, std::int32_t count, const DataType *,
                                  std::int32_t inputs) const noexcept override {
    if (count != kOutputs || inputs != kInputs) return -1;
    for (int i = 0; i < kOutputs; ++i) types[i] = output_type(i);
    return 0;
  }

  std::int32_t getOutputShapes(const nvinfer1::DimsExprs *in, std::int32_t inputs, const nvinfer1::DimsExprs *,
                               std::int32_t, nvinfer1::DimsExprs *out, std::int32_t outputs,
                               nvinfer1::IExprBuilder &made) noexcept override {
    if (inputs != kInputs || outputs != kOutputs) return -1;
    if (in[kFeatures].nbDims != 4 || in[kWeights].nbDims != 2 || in[kBias].nbDims != 1) return -1;
    for (int i = 0; i < kOutputs; ++i) {
      out[i].nbDims = 2;
      out[i].d[0] = in[kFeatures].d[0];
      out[i].d[1] = i == kProbabilities ? in[kWeights].d[0] : made.constant(fields_.top_k);
    }
    return 0;
  }

  bool supportsFormatCombination(std::int32_t position, const nvinfer1::DynamicPluginTensorDesc *tensors,
                                 std::int32_t inputs, std::int32_t outputs) noexcept override {
    return inputs == kInputs && outputs == kOutputs && takes(position, tensors[position].desc, fields_);
  }

  std::int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc *, std::int32_t,
                               const nvinfer1::DynamicPluginTensorDesc *, std::int32_t) noexcept override {
    return 0;
  }

  std::size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc *in, std::int32_t,
                               const nvinfer1::DynamicPluginTensorDesc *, std::int32_t) const noexcept override {
    PluginTensorDesc features = in[kFeatures].desc, weights = in[kWeights].desc;
    features.dims = in[kFeatures].max;
    weights.dims = in[kWeights].max;
    return workspace(features, weights, fields_);
  }

  std::int32_t onShapeChange(const PluginTensorDesc *, std::int32_t, const PluginTensorDesc *,
                             std::int32_t) noexcept override {
    return 0;
  }

  std::int32_t enqueue(const PluginTensorDesc *in, const PluginTensorDesc *, const void *const *inputs,
                       void *const *outputs, void *scratch, cudaStream_t stream) noexcept override {
    if (multiprocessors_ == 0 && !count_multiprocessors(multiprocessors_)) return EDGETL_LAUNCH_FAILED;
    return launch(in, inputs, outputs, fields_, multiprocessors_, scratch, stream);
  }

  nvinfer1::IPluginV3 *attachToContext(nvinfer1::IPluginResourceContext *) noexcept override { return clone(); }

  const nvinfer1::PluginFieldCollection *getFieldsToSerialize() noexcept override {
    plugin::describe(&fields_, written_);
    collection_ = {kFieldCount, written_};
    return &collection_;
  }

 private:
  Fields fields_;
  std::int32_t multiprocessors_ = 0;
  nvinfer1::PluginField written_[kFieldCount];
  nvinfer1::PluginFieldCollection collection_{};
};

class Creator final : public nvinfer1::IPluginCreatorV3One {
 public:
  Creator() noexcept { plugin::describe(nullptr, known_); }

  const char *getPluginName() const noexcept override { return kName; }
  const char *getPluginVersion() const noexcept override { return kVersion; }
  const char *getPluginNamespace() const noexcept override { return kNamespace; }
  const nvinfer1::PluginFieldCollection *getFieldNames() noexcept override { return &collection_; }

  // Of an ONNX node's attributes while building, of a plan's fields afterwards; both are the same.
  nvinfer1::IPluginV3 *createPlugin(const char *, const nvinfer1::PluginFieldCollection *given,
                                    nvinfer1::TensorRTPhase) noexcept override {
    Fields fields;
    return read(given, fields) ? new (std::nothrow) Head(fields) : nullptr;
  }

 private:
  nvinfer1::PluginField known_[kFieldCount];
  nvinfer1::PluginFieldCollection collection_{kFieldCount, known_};
};

}  // namespace edgetl::plugin

#endif
