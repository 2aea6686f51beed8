import streamlit as st
st.title("assets")
