"""Layers, initialisers, normalisation and losses of neural networks, on the public functions of graphc alone."""

from graphc.nn import activations, initializers, losses
from graphc.nn.attention import MultiHeadAttention, attention, attention_weights
from graphc.nn.bidirectional import Bidirectional
from graphc.nn.blocks import inference, training
from graphc.nn.calls import Call, call_of
from graphc.nn.configs import layer_from
from graphc.nn.convolution import Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3D, Conv3DTranspose
from graphc.nn.dense import Dense
from graphc.nn.dropout import Dropout, SpatialDropout, dropout
from graphc.nn.embedding import Embedding, PositionalEmbedding, sinusoids
from graphc.nn.function_layer import Activation, Lambda
from graphc.nn.input import Input
from graphc.nn.layer import Layer
from graphc.nn.merging import Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract
from graphc.nn.naming import reset_names
from graphc.nn.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from graphc.nn.normalizing import batch_norm, group_norm, instance_norm, layer_norm, moments
from graphc.nn.pooling import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    Upsample,
)
from graphc.nn.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from graphc.nn.shaping import Flatten, Permute, Reshape

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Add",
    "Average",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNorm",
    "Bidirectional",
    "Call",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GroupNorm",
    "Input",
    "InstanceNorm",
    "Lambda",
    "Layer",
    "LayerNorm",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Permute",
    "PositionalEmbedding",
    "Recurrent",
    "Reshape",
    "SimpleRNN",
    "SpatialDropout",
    "Subtract",
    "Upsample",
    "activations",
    "attention",
    "attention_weights",
    "batch_norm",
    "call_of",
    "dropout",
    "group_norm",
    "inference",
    "initializers",
    "instance_norm",
    "layer_from",
    "layer_norm",
    "losses",
    "moments",
    "reset_names",
    "sinusoids",
    "training",
]
