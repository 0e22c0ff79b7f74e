// What the programs of all kernels are written with. Plain C++ compiles it too.
#ifndef EDGETL_DEVICE_H
#define EDGETL_DEVICE_H

#ifdef __CUDACC__
#define EDGETL_DEVICE __device__ __forceinline__
#define EDGETL_KEEP_LOOP _Pragma("unroll 1")  // where the loop inside is the one worth unrolling
#define EDGETL_UNROLL _Pragma("unroll")
#else
#define EDGETL_DEVICE inline
#define EDGETL_KEEP_LOOP
#define EDGETL_UNROLL
#endif

namespace edgetl {

template <class Element, int kCount>
struct alignas(sizeof(Element) * kCount) Pack {  // one load of several elements
  Element at[kCount];
};

template <int kCount, class Element>
EDGETL_DEVICE Pack<Element, kCount> load(const Element *from) {
  return *reinterpret_cast<const Pack<Element, kCount> *>(from);
}

}  // namespace edgetl

#endif
